"""Projects: what a folder declares (in a template, a settings file or an app), and making a node match it."""
