"""Checks the files of a release by installing them. `.ci/dist-check` builds what they serve, and runs `check`."""
