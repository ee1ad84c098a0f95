"""The fields of a request, in every spelling."""
