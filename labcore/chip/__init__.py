"""A network on a microcontroller: C, compiled here and run in an emulator."""
