"""Going through pictures one after the other, whoever keeps what is made of them."""
