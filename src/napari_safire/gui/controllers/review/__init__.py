"""The review of the pictures of a viewer: what the dock *SAFIRE Review* stands on."""
