"""What developers run by hand or by `make`, and no installation needs: the reference of the docs, releases, screenshots."""
