"""What a release consists of, beside the wheel: its parts and their licences."""
