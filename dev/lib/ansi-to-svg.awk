# Draws a terminal's screen, as `tmux capture-pane -e -p` gives it, as an SVG picture: LC_ALL=C awk -v columns=N -v title=TEXT
#
# Bytes are counted, not characters, so that every awk does the same: the bytes that continue a character take no room.

BEGIN {
  cell = 8.4; leading = 19; margin = 18; size = 14
  split("#5c6370 #f07178 #98c379 #e5c07b #61afef #c678dd #56b6c2 #d7dae0", colours, " ")
  foreground = "#d7dae0"
  reset()
}

function reset() { fill = foreground; bold = 0; dim = 0 }

# One code of an escape such as ESC[1;31m. Colours of the background are not drawn: hubctl sets none.
function code(n) {
  if (n == 0) reset()
  else if (n == 1) bold = 1
  else if (n == 2) dim = 1
  else if (n == 22) { bold = 0; dim = 0 }
  else if (n >= 30 && n <= 37) fill = colours[n - 29]
  else if (n >= 90 && n <= 97) fill = colours[n - 89]
  else if (n == 39) fill = foreground
}

function width(text) { gsub(/[\200-\277]/, "", text); return length(text) }

function escaped(text) { gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); return text }

# Text of one style. Its width is given, so that no font can move what follows.
function run(text,   wide) {
  wide = length(text)
  sub(/^ +/, "", text)
  column += wide - length(text)
  wide = width(text)
  sub(/ +$/, "", text)
  if (text != "") {
    body = body sprintf("  <text x=\"%.1f\" y=\"%d\" textLength=\"%.1f\" fill=\"%s\"%s%s>%s</text>\n",
      margin + column * cell, margin + (NR - 1) * leading + size, width(text) * cell, fill,
      bold ? " font-weight=\"bold\"" : "", dim ? " opacity=\"0.65\"" : "", escaped(text))
  }
  column += wide
}

{
  column = 0
  rest = $0
  while (match(rest, /\033\[[0-9;]*m/)) {
    before = substr(rest, 1, RSTART - 1)
    codes = substr(rest, RSTART + 2, RLENGTH - 3)
    rest = substr(rest, RSTART + RLENGTH)
    run(before)
    many = split(codes, each, ";")
    if (many == 0) reset()
    for (i = 1; i <= many; i++) code(each[i] + 0)
  }
  run(rest)
}

END {
  wide = columns * cell + 2 * margin
  high = NR * leading + 2 * margin
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n", wide, high, wide, high
  printf "  <title>%s</title>\n", escaped(title)
  printf "  <g xml:space=\"preserve\" font-size=\"%d\" font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace\">\n", size
  printf "  <rect width=\"100%%\" height=\"100%%\" rx=\"10\" fill=\"#1d2129\"/>\n%s  </g>\n</svg>\n", body
}
