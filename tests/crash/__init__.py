"""What is left when a process ends without being asked."""
