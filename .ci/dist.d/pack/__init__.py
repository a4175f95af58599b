"""Puts built programs into what people install. `.ci/dist` runs `pack`, and `.ci/dist-check` uses `debian`."""
