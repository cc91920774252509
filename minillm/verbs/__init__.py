"""What each verb of the command line does: choose the run, call the room, report."""
