"""Workers on other machines, or in processes of their own, by Dask; its only home.

`tasks` is what runs on a worker and knows nothing of Dask; `apart` decodes what killed one in a
process that may die; `coordinator` hands out the files of a card and takes in the answers, in the
order of the card; `connect` finds or starts the cluster. Nobody but the coordinator writes.
"""
