"""The process that opens what is served, with the toy domain alone."""

import sys

from fingerpost.flows import domains
from fingerpost.flows.ops.serve.opener import main
from tests.toy import TOY

domains.DOMAINS = (TOY,)
main(int(sys.argv[1]))
