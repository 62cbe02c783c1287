"""What is known of the inside of a machine, as its guest agent tells it, and what is being done in there."""
