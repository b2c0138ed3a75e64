"""New rows of the rare class: how many, which are kept, and where they go."""
