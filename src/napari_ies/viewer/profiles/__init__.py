"""What is known of the loaded network beside its weights: shown, asked, and kept in a file."""
