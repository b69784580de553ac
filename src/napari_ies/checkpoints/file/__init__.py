"""What lies in a checkpoint's file, checked as data before it is loaded."""
