# awk -v wanted=KEY -f value.awk FILE: print the first scalar of KEY in YAML or JSON text, quotes and escapes undone.
{ text = text $0 "\n" }
END {
  if (!match(text, "(^|[\n{,]|- )[ ]*[\"']?" wanted "[\"']?[ ]*:[ ]*")) exit
  rest = substr(text, RSTART + RLENGTH)
  quote = substr(rest, 1, 1)
  out = ""
  if (quote == "\"" || quote == "'") {
    for (i = 2; i <= length(rest); i++) {
      c = substr(rest, i, 1)
      if (quote == "\"" && c == "\\") {
        c = substr(rest, ++i, 1)
        if (c == "u") {
          out = out utf8(hex(substr(rest, i + 1, 4))); i += 4; continue
        }
        if (c == "n") c = "\n"
        if (c == "t") c = "\t"
        out = out c; continue
      }
      if (c == quote) {
        if (quote == "'" && substr(rest, i + 1, 1) == "'") { out = out "'"; i++; continue }
        break
      }
      out = out c
    }
  } else {
    match(rest, "^[^\n]*"); out = substr(rest, 1, RLENGTH)
    sub(" #.*$", "", out)
    if (substr(text, 1, RSTART) ~ /[{]/ || out ~ /^[^,]*[}]$/) sub("[,}].*$", "", out)
    sub("[ \r]*$", "", out)
  }
  if (out ~ /^[|>\[{]/) exit
  printf "%s", out
}
function hex(digits,   n, j) {
  n = 0
  for (j = 1; j <= 4; j++) n = n * 16 + index("0123456789abcdef", tolower(substr(digits, j, 1))) - 1
  return n
}
function utf8(code) {
  if (code < 128) return sprintf("%c", code)
  if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
  return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
}
