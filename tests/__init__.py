"""Tests of Marquee. They use Feast as commands do, whose types are left unchecked."""

from common.quick_start import leave_types_unchecked

leave_types_unchecked()
