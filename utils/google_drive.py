"""Google Drive files by id.

Drive answers a download either with the file or, for files too large for its virus scan, with a page holding
a form whose hidden fields (`id`, `confirm`, `uuid`) must be sent back. A file over its daily quota, or one
that is not shared, answers with a page too, without that form.
"""

import http.client
import http.cookiejar
import urllib.parse
import urllib.request
from collections.abc import Mapping
from html.parser import HTMLParser

from utils.download import DownloadError, OpenResponse, is_web_page

ENDPOINT = "https://drive.usercontent.google.com/download"
_LONGEST_PAGE = 1 << 20


def open_drive_file(file_id: str, *, endpoint: str = ENDPOINT) -> OpenResponse:
    """An opener (for `download_file`) of the Drive file `file_id`, which passes the confirmation page."""
    address = f"{endpoint}?{urllib.parse.urlencode({'id': file_id, 'export': 'download', 'confirm': 't'})}"

    def open_response(headers: Mapping[str, str], timeout: float) -> http.client.HTTPResponse:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        opener = urllib.request.build_opener(cookies)
        # A range belongs to the file, not to the page that may stand before it: ask for none at first.
        whole = {name: value for name, value in headers.items() if name not in ("Range", "If-Range")}
        response = opener.open(urllib.request.Request(address, headers=whole), timeout=timeout)
        if not is_web_page(response):
            if len(whole) == len(headers):
                return response
            response.close()
            return opener.open(urllib.request.Request(address, headers=dict(headers)), timeout=timeout)
        page = _read_page(response)
        confirmed = confirmed_address(page, response.url)
        if confirmed is None:
            raise DownloadError(_refusal(page, file_id))
        response = opener.open(urllib.request.Request(confirmed, headers=dict(headers)), timeout=timeout)
        if is_web_page(response):
            raise DownloadError(_refusal(_read_page(response), file_id))
        return response

    return open_response


def _read_page(response: http.client.HTTPResponse) -> str:
    with response:
        return response.read(_LONGEST_PAGE).decode("utf-8", errors="replace")


def confirmed_address(page: str, page_address: str) -> str | None:
    """The address that a confirmation page's form leads to, or None when the page has no such form."""
    form = _DownloadForm()
    form.feed(page)
    if form.action is None:
        return None
    action = urllib.parse.urljoin(page_address, form.action)
    separator = "&" if urllib.parse.urlsplit(action).query else "?"
    return f"{action}{separator}{urllib.parse.urlencode(form.fields)}" if form.fields else action


def _refusal(page: str, file_id: str) -> str:
    """One line on why Drive gives no file, with a way out."""
    if "quota" in page.lower():
        reason = "Google Drive's download quota for this file is exceeded"
    else:
        reason = "Google Drive shows a page instead of the file (not shared any more, or sign-in required)"
    return (
        f"Google Drive file {file_id}: {reason}; try again tomorrow, or download it in a browser from "
        f"https://drive.google.com/file/d/{file_id}/view and give its path"
    )


class _DownloadForm(HTMLParser):
    """Collects action and hidden fields of the form with the id `download-form`."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and attributes.get("id") == "download-form":
            self._inside, self.action = True, attributes.get("action")
        elif tag == "input" and self._inside and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
