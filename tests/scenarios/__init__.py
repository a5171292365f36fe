"""A package, so that its platform, which is busy though nobody asks it anything, ends with its last test."""
