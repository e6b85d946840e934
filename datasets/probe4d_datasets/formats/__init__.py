"""Readers of file formats that several datasets share: TFRecord, protobuf wire, PNG, pickles of arrays."""
