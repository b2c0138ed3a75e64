"""What result pages share: templates, figures, cards, gates."""
