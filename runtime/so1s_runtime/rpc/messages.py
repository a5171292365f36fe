"""The messages of runtime/proto as classes.

They live in a pool of their own: a model's code may have messages of the same names, from a client, say.
"""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from so1s_runtime.rpc.descriptors import FILES

_POOL = DescriptorPool()  # ty: ignore[possibly-missing-implicit-call]
for _file in FILES:
    _POOL.AddSerializedFile(_file)


def _message(name: str) -> Any:
    """A message class: its fields are known when the program runs, so nothing better than Any can be said."""
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


ServerLiveResponse = _message("inference.ServerLiveResponse")
ServerReadyResponse = _message("inference.ServerReadyResponse")
ServerMetadataResponse = _message("inference.ServerMetadataResponse")
ModelReadyRequest = _message("inference.ModelReadyRequest")
ModelReadyResponse = _message("inference.ModelReadyResponse")
ModelMetadataRequest = _message("inference.ModelMetadataRequest")
ModelMetadataResponse = _message("inference.ModelMetadataResponse")
ModelInferRequest = _message("inference.ModelInferRequest")
ModelInferResponse = _message("inference.ModelInferResponse")
RepositoryIndexRequest = _message("inference.RepositoryIndexRequest")
RepositoryIndexResponse = _message("inference.RepositoryIndexResponse")
Status = _message("google.rpc.Status")
RetryInfo = _message("google.rpc.RetryInfo")
BadRequest = _message("google.rpc.BadRequest")
