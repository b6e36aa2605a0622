#!/usr/bin/env bash
# System packages that some tests use (headless Chromium, Pango for PDF, LibreOffice to recalculate XLSX).
# Installs only what is missing and only where apt is there; the tests say loudly what they skip otherwise.
set -u
command -v apt-get >/dev/null 2>&1 || { echo "no apt here: browser and PDF tests may be skipped" >&2; exit 0; }
missing=()
have() { command -v "$1" >/dev/null 2>&1; }
have chromium || missing+=(chromium)
have pdftoppm || missing+=(poppler-utils)
ldconfig -p 2>/dev/null | grep -q libpango-1.0 || missing+=(libpango-1.0-0)
ldconfig -p 2>/dev/null | grep -q libpangoft2-1.0 || missing+=(libpangoft2-1.0-0)
fc-list 2>/dev/null | grep -qi "noto.*cjk" || missing+=(fonts-noto-cjk fontconfig)
have soffice || have localc || missing+=(libreoffice-calc)
[ ${#missing[@]} -eq 0 ] && exit 0
SUDO=""; [ "$(id -u)" = 0 ] || SUDO="sudo -n"
export DEBIAN_FRONTEND=noninteractive
{ $SUDO apt-get update -q && $SUDO apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/tmp/sizing-system-packages.log 2>&1 \
  || echo "could not install ${missing[*]} (see /tmp/sizing-system-packages.log): their tests will be skipped" >&2
exit 0
