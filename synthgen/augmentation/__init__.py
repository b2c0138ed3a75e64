"""New rows of the rare class: how many, which are kept, where they go."""
