"""Content in, HTML out: templates, how numbers are written, what a browser may do with a page."""

from pages.rendering.render import HTML, page_policy, render
from pages.rendering.report_files import REPORT_POLICY, report_file, whole_report

__all__ = ["HTML", "REPORT_POLICY", "page_policy", "render", "report_file", "whole_report"]
