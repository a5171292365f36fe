"""`python client.py ADDRESS`: calls a server by Triton's client, in an environment that has nothing of ours.

Reads pickled calls `(way, method, arguments)`; writes, pickled too, `("answer", value)` or
`("refused", status, message)`.
"""

import pickle
import sys
import warnings

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc.service_pb2 import InferTensorContents, ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

# Where the values of a type lie in a message that does not have them as bytes.
FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Http:
    """Over HTTP, with the values in the JSON or as bytes behind it."""

    def __init__(self, address, *, is_binary):
        self._client = tritonclient.http.InferenceServerClient(address)
        self._is_binary = is_binary

    def live(self):
        return self._client.is_server_live()

    def ready(self):
        return self._client.is_server_ready()

    def model_ready(self, model, version=""):
        return self._client.is_model_ready(model, version)

    def server(self):
        return self._client.get_server_metadata()

    def model(self, model, version=""):
        return self._client.get_model_metadata(model, version)

    def index(self):
        return self._client.get_model_repository_index()

    def config(self, model):
        return self._client.get_model_config(model)

    def infer(self, model, inputs, outputs=(), version="", **options):
        asked = self._asked(inputs, outputs) | options
        return self._told(self._client.infer(model, model_version=version, **asked))

    def _asked(self, inputs, outputs):
        wanted = [
            tritonclient.http.InferRequestedOutput(name, binary_data=self._is_binary) for name in outputs
        ]
        tensors = [
            tritonclient.http.InferInput(name, array.shape, datatype(array)).set_data_from_numpy(
                array, binary_data=self._is_binary
            )
            for name, array in inputs.items()
        ]
        return {"inputs": tensors, "outputs": wanted or None}

    def _told(self, result):
        said = result.get_response()
        return answer(
            said["model_name"],
            said["model_version"],
            said["id"],
            {each["name"]: result.as_numpy(each["name"]) for each in said["outputs"]},
        )


class Grpc:
    """Over gRPC, with the values as bytes."""

    def __init__(self, address):
        self._client = tritonclient.grpc.InferenceServerClient(address)

    def live(self):
        return self._client.is_server_live()

    def ready(self):
        return self._client.is_server_ready()

    def model_ready(self, model, version=""):
        return self._client.is_model_ready(model, version)

    def server(self):
        said = self._client.get_server_metadata()
        return {"name": said.name, "version": said.version, "extensions": list(said.extensions)}

    def model(self, model, version=""):
        said = self._client.get_model_metadata(model, version)
        return {
            "name": said.name,
            "versions": list(said.versions),
            "platform": said.platform,
            "inputs": [described(each) for each in said.inputs],
            "outputs": [described(each) for each in said.outputs],
        }

    def index(self):
        models = self._client.get_model_repository_index().models
        return [
            {"name": each.name, "version": each.version, "state": each.state, "reason": each.reason}
            for each in models
        ]

    def config(self, model):
        return self._client.get_model_config(model)

    def infer(self, model, inputs, outputs=(), version="", **options):
        asked = self._asked(inputs) | options
        wanted = [tritonclient.grpc.InferRequestedOutput(name) for name in outputs]
        return self._told(self._client.infer(model, model_version=version, outputs=wanted, **asked))

    @staticmethod
    def _asked(inputs):
        tensors = [
            tritonclient.grpc.InferInput(name, array.shape, datatype(array)).set_data_from_numpy(array)
            for name, array in inputs.items()
        ]
        return {"inputs": tensors}

    @staticmethod
    def _told(result):
        said = result.get_response()
        return answer(
            said.model_name,
            said.model_version,
            said.id,
            {each.name: result.as_numpy(each.name) for each in said.outputs},
        )


class Contents(Grpc):
    """Over gRPC by its stub, with the values in the message."""

    def __init__(self, address):
        super().__init__(address)
        self._stub = GRPCInferenceServiceStub(grpc.insecure_channel(address))

    def infer(self, model, inputs, outputs=(), version="", request_id=""):
        request = ModelInferRequest(model_name=model, model_version=version, id=request_id)
        for name, array in inputs.items():
            values = array.reshape(-1).tolist()
            contents = InferTensorContents(**{FIELDS[datatype(array)]: values})
            request.inputs.add(name=name, datatype=datatype(array), shape=array.shape, contents=contents)
        for name in outputs:
            request.outputs.add(name=name)
        said = self._stub.ModelInfer(request)
        assert not said.raw_output_contents
        return answer(
            said.model_name,
            said.model_version,
            said.id,
            {each.name: values_of(each) for each in said.outputs},
        )


def values_of(tensor):
    values = list(getattr(tensor.contents, FIELDS[tensor.datatype]))
    dtype = object if tensor.datatype == "BYTES" else tritonclient.utils.triton_to_np_dtype(tensor.datatype)
    return np.array(values, dtype=dtype).reshape(tuple(tensor.shape))


def answer(model, version, request_id, outputs):
    return {"model": model, "version": version, "id": request_id, "outputs": outputs}


def datatype(array):
    return np_to_triton_dtype(array.dtype)


def described(tensor):
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def outcome(way, method, arguments):
    try:
        return "answer", getattr(way, method)(**arguments)
    except InferenceServerException as error:
        return "refused", error.status(), error.message()
    except grpc.RpcError as error:
        return "refused", str(error.code()), error.details()


def main(address):
    warnings.simplefilter("error")
    ways = {
        "json": Http(address, is_binary=False),
        "binary": Http(address, is_binary=True),
        "grpc": Grpc(address),
        "contents": Contents(address),
    }
    while True:
        try:
            way, method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(outcome(ways[way], method, arguments), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
