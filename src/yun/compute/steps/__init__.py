"""The journaled steps of an instance's life, each with its undo; flows of this room and of rooms above walk them."""

from yun.compute.steps.adopting import begin_adoption, claim, forget_machine, hand_over, settle
from yun.compute.steps.boot import have_boot_once, have_boot_order
from yun.compute.steps.clone import (
    NVRAM,
    TPM,
    begin_copies,
    copy_base,
    copy_disk,
    copy_nvram,
    copy_still,
    copy_tpm,
    freeze_source,
    layer_file,
    stand_on,
)
from yun.compute.steps.configure import (
    before_hardware,
    have_hardware,
    have_overlay,
    live_now,
    take_live,
    try_overlay,
)
from yun.compute.steps.definition import define, define_now, redefine, remove_files, undefine, write_seed
from yun.compute.steps.disks import (
    before_definition,
    grow_volume,
    plug_in,
    pull_out,
    put_in_place,
    refuse_mounted,
    release_kept,
    take_from_place,
)
from yun.compute.steps.drives import have_drive, load_drive
from yun.compute.steps.exports import begin_export
from yun.compute.steps.flatten import collect_below, flatten_disk, flatten_due, layers_below
from yun.compute.steps.found import find, find_all
from yun.compute.steps.freezing import freeze_now, thaw_due, thaw_now_and_tell
from yun.compute.steps.growing import promise_growth
from yun.compute.steps.guest import learn, learn_all
from yun.compute.steps.inside import drop_errand, give_back_blocks, give_password, set_clock, take_errand
from yun.compute.steps.measuring import measure
from yun.compute.steps.merging import merge_due, merge_files
from yun.compute.steps.move import base_of, bring_over, clear_old, move_over
from yun.compute.steps.nics import before_cards, plug_card, pull_card, settle_cards
from yun.compute.steps.power import go_on, power_off, power_on, start_now, suspend
from yun.compute.steps.removal import settle_removals
from yun.compute.steps.rows import (
    begin_building,
    begin_purge,
    edit,
    finish_purge,
    finish_stopped,
    have_size,
    make_flavor,
    parts,
    remember,
    trash,
    withdraw_flavor,
)
from yun.compute.steps.running import await_end, launch
from yun.compute.steps.shared import load, place, set_state
from yun.compute.steps.tending import bring_back, look, look_at_all, wait
from yun.compute.steps.volume_copies import copy_volume, is_written, make_download

__all__ = [
    "NVRAM", "TPM", "await_end", "base_of", "before_cards", "before_definition", "before_hardware", "begin_adoption",
    "begin_building", "begin_copies", "begin_export", "begin_purge", "bring_back", "bring_over", "claim",
    "clear_old", "collect_below", "copy_base", "copy_disk", "copy_nvram", "copy_still", "copy_tpm", "copy_volume",
    "define", "define_now", "drop_errand", "edit", "find", "find_all", "finish_purge", "finish_stopped", "flatten_disk",
    "flatten_due", "forget_machine", "freeze_now", "freeze_source", "give_back_blocks", "give_password", "go_on",
    "grow_volume", "hand_over", "have_boot_once", "have_boot_order", "have_drive", "have_hardware", "have_overlay",
    "have_size", "is_written", "launch", "layer_file", "layers_below", "learn", "learn_all", "live_now", "load",
    "load_drive", "look", "look_at_all", "make_download", "make_flavor", "measure", "merge_due", "merge_files",
    "move_over", "parts", "place",
    "plug_card", "plug_in", "power_off", "power_on", "promise_growth", "pull_card", "pull_out", "put_in_place",
    "redefine", "refuse_mounted", "release_kept", "remember", "remove_files", "set_clock", "set_state", "settle",
    "settle_cards", "settle_removals", "stand_on", "start_now", "suspend", "take_errand", "take_from_place",
    "take_live", "thaw_due", "thaw_now_and_tell", "trash", "try_overlay", "undefine", "wait", "withdraw_flavor",
    "write_seed",
]  # fmt: skip
