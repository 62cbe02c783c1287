# The first shell script of a multipart user-data, as plain text.
/^--/ { if (body) exit; header = 1; script = 0; next }
header && tolower($0) ~ /^content-type:.*shellscript/ { script = 1 }
header && /^\r?$/ { header = 0; if (script) body = 1; next }
body { sub("\r$", ""); print }
