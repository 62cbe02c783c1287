"""Reachability: can one thing talk to another, what can reach a machine, and what a change gives or takes.

Questions are answered from rows alone: a `Picture` of plain values is loaded in a few queries, and judged without
them. Previews judge two pictures, before and after (`difference`).
"""

from yun.network.service.reach.ask import Answer, Question, reach
from yun.network.service.reach.difference import difference
from yun.network.service.reach.facts import LegFact, OutsideFact, Picture, RouterFact, RuleFact, rule_fact
from yun.network.service.reach.load import picture
from yun.network.service.reach.summary import Summary, of_group, of_ports
from yun.network.service.reach.words import say

__all__ = [
    "Answer", "LegFact", "OutsideFact", "Picture", "Question", "RouterFact", "RuleFact", "Summary", "difference",
    "of_group", "of_ports", "picture", "reach", "rule_fact", "say",
]  # fmt: skip
