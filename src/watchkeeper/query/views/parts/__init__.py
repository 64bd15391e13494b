"""Parts of pages that several of them show, each made from what one look found."""
