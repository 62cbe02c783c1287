# The first shell script of a multipart user-data; its first line says "base64" where the rest is encoded so.
/^--/ { if (body) exit; header = 1; script = 0; coding = "plain"; next }
header && tolower($0) ~ /^content-type:.*shellscript/ { script = 1 }
header && tolower($0) ~ /^content-transfer-encoding:.*base64/ { coding = "base64" }
header && /^\r?$/ { header = 0; if (script) { body = 1; print coding }; next }
body { sub("\r$", ""); print }
