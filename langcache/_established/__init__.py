"""What serves programs written for the established client: its module paths, and help with wrong names."""
