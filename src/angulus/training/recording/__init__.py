"""What a run writes down about itself while it trains, for `angulus doctor`; nothing here changes the training."""
