unlock() {
  lock=$hub/lock
  case $(readlink "$lock") in "$1"*) ;; *) return ;; esac
  # To move it away is one step, after which nobody else can be at it.
  mv "$lock" "$lock.$$" 2>/dev/null || return
  case $(readlink "$lock.$$") in
    "$1"*) ;;
    # Somebody was faster, and this one is theirs. A second link to it is made only where there is none by now.
    *) ln -P "$lock.$$" "$lock" 2>/dev/null ;;
  esac
  rm -f "$lock.$$"
}
