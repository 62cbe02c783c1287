"""One connection to OVN's northbound database: made when first used, kept alive, one transaction per call."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ovs.db import idl as ovs_idl
from ovsdbapp import exceptions
from ovsdbapp.backend.ovs_idl import command, connection, idlutils
from ovsdbapp.schema.ovn_northbound import impl_idl

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.drivers.network.faults import away, refused
from yun.drivers.network.ovn.rows import CLOUD, Index, Rows

log = logger("network.ovn")
T = TypeVar("T")

GRACE = 1.5  # seconds a call waits for a lost connection to come back before it fails
PROBE_MS = 5000
STOP = "\0stop"
BELOW = ("DHCP_Options", "DNS")
"""Tables whose rows are sought by their network."""


class _Idl(connection.OvsdbIdl):
    """The replica of the database; it tells the link which rows of ours appear, change and go."""

    link: Link

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        self.link.noticed(event, row, updates)

    def run(self) -> bool:
        changed = bool(super().run())
        # The session counts losses too, so only the number that the replica itself has followed means "whole again".
        seen = self._last_seqno
        whole = self.state == self.IDL_S_MONITORING and self._session.is_connected()
        if whole and seen == self._session.get_seqno() and seen != self.link.generation:
            self.link.connected(seen)
        return changed


class _Api(impl_idl.OvnNbApiIdlImpl):
    # The library keeps one connection per class; ours is one per object, so that engines do not share by accident.
    ovsdb_connection = None

    def __init__(self, conn: Any) -> None:
        self.ovsdb_connection = conn
        super().__init__(conn)


class _Call(command.BaseCommand):
    """A function that reads and writes rows, as one command of a transaction; retried on a write conflict."""

    def __init__(self, link: Link, work: Callable[[Rows], Any]) -> None:
        super().__init__(link.api)
        self.link, self.work = link, work

    def run_idl(self, txn: Any) -> None:
        self.result = self.work(Rows(self.api.idl, txn, self.link.index))


class Link:
    """The connection. `call` runs a function in a transaction of its own, on the connection's one thread.

    ``schema`` names the database, ``tables`` those of its tables that are followed (none named: all).
    """

    schema = "OVN_Northbound"
    tables: tuple[str, ...] = ()
    api_class: type[Any] = _Api

    def __init__(self, remote: str, timeout: float) -> None:
        self.remote, self.timeout = remote, timeout
        self.api: Any = None
        self.index = Index()
        self.generation = -1
        self._touched: set[tuple[str, str, str]] = set()
        self._whole = True
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._nudges: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listeners: list[Callable[[str], None]] = []
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()

    def call(self, work: Callable[[Rows], T]) -> T:
        """Run ``work`` in one transaction and return its answer. Raises `DriverError`, retryable where the database
        is away, slow or in conflict; nothing of ``work`` is written then, or (time-out) all of it may be."""
        api = self._ready()
        try:
            with api.transaction(check_error=True, log_errors=False, nested=False) as txn:
                done = txn.add(_Call(self, work))
        except DriverError:
            raise
        except exceptions.TimeoutException as error:
            raise away(f"timed out after {self.timeout} s") from error
        except RuntimeError as error:  # what the library raises for a transaction that the server refused
            raise refused(str(error)) from error
        return done.result

    def suspects(self, kinds: Mapping[str, str]) -> set[tuple[str, str]] | None:
        """Things (kind, id) whose own row was written since the last call; None where notices may have been missed.
        ``kinds`` says in which table the rows of a kind are."""

        def look(rows: Rows) -> set[tuple[str, str]] | None:  # on the connection's thread, as the notices are
            touched, whole = self._touched, self._whole
            self._touched, self._whole = set(), False
            if whole:
                return None
            return {(kind, i) for table, kind, i in touched if kinds.get(kind) == table}

        return self.call(look)

    @property
    def version(self) -> str:
        """Version of the database's schema."""
        return str(self._ready().idl._db.version)

    def listen(self, nudge: Callable[[str], None]) -> None:
        """Call ``nudge`` from a thread of ours for every notice; connects in the background when need be."""
        with self._lock:
            self._listeners.append(nudge)
            if self._threads:
                return
            for target in (self._deliver, self._keep_trying):
                thread = threading.Thread(target=target, name=f"ovn-{target.__name__.strip('_')}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """End the connection and its threads."""
        self._closed.set()
        self._nudges.put(STOP)
        with self._lock:
            attempt, api, self.api = self._attempt, self.api, None
            self._listeners.clear()
        if attempt is not None:
            attempt.done.wait(1)
        if api is not None:
            api.ovsdb_connection.stop(5)
        for thread in self._threads:
            thread.join(5)

    # ── what the replica tells ──

    def noticed(self, event: str, row: Any, updates: Any) -> None:
        """Keep the map from our ids to rows, and nudge for ports. Runs on the connection's thread."""
        table = row._table.name
        identifier = getattr(row, "external_ids", {}).get("yun_id")
        if identifier is None:
            return
        gone = event == ovs_idl.ROW_DELETE
        others = tuple(u for u in self.index.known.get((table, identifier), ()) if u != row.uuid)
        if not gone or others:
            self.index.known[table, identifier] = others if gone else (*others, row.uuid)
        else:
            self.index.known.pop((table, identifier), None)
        self._place(table, row, gone=gone)
        if self.index.cloud and row.external_ids.get(CLOUD, self.index.cloud) != self.index.cloud:
            return
        self._touched.add((table, row.external_ids.get("yun_kind", ""), identifier))
        port = table == "Logical_Switch_Port" and row.external_ids.get("yun_kind") == "port"
        if port and (gone or (updates is not None and hasattr(updates, "up"))):
            self._nudges.put(identifier)

    def _place(self, table: str, row: Any, *, gone: bool) -> None:
        """Keep the map from networks to what is below them. A thing of ours never changes its network: it is made
        anew."""
        network = row.external_ids.get("yun_network")
        if network is None or table not in BELOW:
            return
        place = self.index.below.setdefault((table, network), set())
        if gone:
            place.discard(row.uuid)
            if not place:
                del self.index.below[table, network]
        else:
            place.add(row.uuid)

    def connected(self, generation: int) -> None:
        """A connection is up with a whole replica; a second one means that notices may have been missed."""
        again, self.generation = self.generation != -1, generation
        self._touched, self._whole = set(), True
        if again:
            log.info("connected again to %s", self.remote)
            self._nudges.put("")

    def nudge(self, notice: str) -> None:
        """Tell the listeners something that another connection has seen."""
        self._nudges.put(notice)

    def _deliver(self) -> None:
        while (notice := self._nudges.get()) != STOP:
            for nudge in list(self._listeners):
                try:
                    nudge(notice)
                except Exception:
                    log.exception("a listener failed")

    def _keep_trying(self) -> None:
        while not self._closed.wait(0):
            try:
                self._ready()
            except DriverError:
                self._closed.wait(2)
            else:
                return

    # ── connecting ──

    def _ready(self) -> Any:
        if self._closed.is_set():
            raise away("closed")
        with self._lock:
            api, attempt = self.api, self._attempt
            if api is None and attempt is None:
                attempt = self._attempt = _Attempt(self)
        if api is None and attempt is not None:
            if not attempt.done.wait(self.timeout):
                raise away("no answer while connecting")
            with self._lock:
                if self._attempt is attempt:
                    self._attempt = None
                    self.api = attempt.api
                api = self.api
            if api is None:
                raise away(str(attempt.error)) from attempt.error
        end = time.monotonic() + GRACE
        while not (api.idl.state == api.idl.IDL_S_MONITORING and api.idl._session.is_connected()):
            if time.monotonic() > end:
                raise away("not connected")
            time.sleep(0.02)
        return api


class _Attempt:
    """One try to connect, on a thread of its own: a server that accepts and says nothing holds only that thread."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.api: Any = None
        self.error: Exception | None = None
        self.done = threading.Event()
        threading.Thread(target=self._run, name="ovn-connect", daemon=True).start()

    def _run(self) -> None:
        link, idl = self.link, None
        try:
            link.generation = -1
            helper = idlutils.get_schema_helper(link.remote, link.schema)
            for table in link.tables:
                helper.register_table(table)
            if not link.tables:
                helper.register_all()
            idl = _Idl(link.remote, helper, probe_interval=PROBE_MS)
            idl.link = link
            idl._session.reconnect.set_backoff(1000, 2000)
            self.api = link.api_class(connection.Connection(idl, timeout=link.timeout))
        except Exception as error:  # the library raises plain Exception here
            self.error = error
            if idl is not None:
                idl.close()
        finally:
            self.done.set()
