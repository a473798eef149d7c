"""What host and device agree on: lines in shared memory, slots, commands; one declaration for both."""
