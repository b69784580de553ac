"""The tab Regions: any region explained, and what-if."""
