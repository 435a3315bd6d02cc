//! Past fixes in OpenSearch: exact look-ups by id, nearest neighbours by vector.
