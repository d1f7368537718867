"""What makes the derived files and the environment. Each module is a command of its own."""
