"""Predictions in shards: listing, plan, one shard as a whole, and the engines that run them on one machine or many."""
