"""checkpoint → assistant: a chat template, fine-tuning on instructions, preferences, rewards."""
