"""One patient's images: read, placed in mm, named, put on one grid."""
