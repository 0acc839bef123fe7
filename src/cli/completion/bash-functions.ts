/** The part of the completion script that is the same for every set of commands. Needs bash 4, and no bash-completion package. */
export const bashFunctions = String.raw`# Pods whose line of "rkt list" has one of the given states (an extended regular expression; none means all).
__rkt_pods() {
  local line
  while IFS= read -r line; do
    [[ $line == [0-9a-f]* ]] || continue
    [[ -z $1 || $line =~ $'\t'(aborted\ )?($1) ]] && printf '%s\n' "${'${'}line%%$'\t'*}"
  done < <("${'${'}__rkt_program[@]}" list --no-legend 2>/dev/null)
}

# Ids and names of the images of the store.
__rkt_images() {
  local line
  while IFS= read -r line; do
    printf '%s\n%s\n' "${'${'}line%%$'\t'*}" "${'${'}line##*$'\t'}"
  done < <("${'${'}__rkt_program[@]}" image list --no-legend --fields=id,name 2>/dev/null)
}

__rkt_reply() {
  local IFS=$'\n'
  COMPREPLY+=($(compgen "$@" -- "$__rkt_cur"))
}

# Completes what a cell of __rkt_positional or of __rkt_values says.
__rkt_complete_kind() {
  local kind=$1
  case "$kind" in
    '<directory>' | '<directories>') compopt -o filenames 2>/dev/null; __rkt_reply -d ;;
    '<file>' | '<files>') compopt -o filenames 2>/dev/null; __rkt_reply -f ;;
    '<images>') __rkt_reply -W "$(__rkt_images)" ;;
    '<images+files>') compopt -o filenames 2>/dev/null; __rkt_reply -W "$(__rkt_images)"; __rkt_reply -f ;;
    '<pods>') __rkt_reply -W "$(__rkt_pods)" ;;
    '<pods:'*) kind=${'${'}kind#<pods:}; __rkt_reply -W "$(__rkt_pods "${'${'}kind%>}")" ;;
    '<commands>') __rkt_reply -W "$(__rkt_commands '' | tr ' ' '\n')" ;;
    '<none>' | '') ;;
    *) __rkt_reply -W "$(printf '%s' "$kind" | tr ' ' '\n')" ;;
  esac
}

# The words of the line up to the cursor, "--name=value" in one word again: readline splits at "=" and ":".
__rkt_line_words() {
  local line=${'${'}COMP_LINE:0:COMP_POINT}
  read -r -a __rkt_words <<<"$line"
  [[ $line == *[[:space:]] ]] && __rkt_words+=('')
}

_rkt() {
  local -a __rkt_words __rkt_program cells
  local __rkt_cur command='' top='' word index previous='' pending='' count=0 kind
  COMPREPLY=()
  __rkt_line_words
  index=${'${'}#__rkt_words[@]}
  __rkt_cur=${'${'}__rkt_words[index - 1]}
  __rkt_program=("${'${'}__rkt_words[0]}")

  for word in "${'${'}__rkt_words[@]:1:index-2}"; do
    if [[ -n $pending ]]; then
      case "$pending" in dir | local-config | system-config | user-config) __rkt_program+=("--$pending=$word") ;; esac
      pending=''
    elif [[ $word == --*=* ]]; then
      case "$word" in --dir=* | --local-config=* | --system-config=* | --user-config=*) __rkt_program+=("$word") ;; esac
    elif [[ $word == --?* ]]; then
      [[ $__rkt_valued == *" ${'${'}word#--} "* ]] && pending=${'${'}word#--}
    elif [[ $word == -* ]]; then
      :
    elif [[ -z $top ]]; then
      top=$word command=$word
    elif [[ $command == "$top" && -n $(__rkt_commands "$top") ]]; then
      command="$top $word"
    else
      count=$((count + 1))
    fi
  done

  if [[ -n $pending ]]; then
    __rkt_complete_kind "$(__rkt_values "$pending")"
  elif [[ $__rkt_cur == --*=* ]]; then
    word=${'${'}__rkt_cur%%=*}
    __rkt_cur=${'${'}__rkt_cur#*=}
    __rkt_complete_kind "$(__rkt_values "${'${'}word#--}")"
    # Where "=" does not break words for readline, the whole word is replaced.
    [[ $COMP_WORDBREAKS != *=* ]] && COMPREPLY=("${'${'}COMPREPLY[@]/#/$word=}")
  elif [[ $__rkt_cur == -* ]]; then
    __rkt_reply -W "$(printf '%s %s' "$(__rkt_options "$command")" "$(__rkt_options '')" | tr ' ' '\n')"
    [[ ${'${'}#COMPREPLY[@]} -eq 1 && ${'${'}COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  elif [[ -z $top ]]; then
    __rkt_complete_kind '<commands>'
  elif [[ $command == "$top" && -n $(__rkt_commands "$top") ]]; then
    __rkt_reply -W "$(__rkt_commands "$top" | tr ' ' '\n')"
  else
    read -r -a cells <<<"$(__rkt_positional "$command")"
    kind=${'${'}cells[count]-}
    [[ $count -ge ${'${'}#cells[@]} && ${'${'}#cells[@]} -gt 0 ]] && kind=${'${'}cells[-1]}
    __rkt_complete_kind "$kind"
  fi

  # readline replaces only what follows the last ":" of the word.
  if [[ $__rkt_cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    word=${'${'}__rkt_cur%"${'${'}__rkt_cur##*:}"}
    COMPREPLY=("${'${'}COMPREPLY[@]#"$word"}")
  fi
  return 0
}

complete -F _rkt rkt
`
