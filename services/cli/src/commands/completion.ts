import { Argument } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
const LISTED = 50

/** Commands whose first argument is a batch. */
const OF_A_BATCH = /<batch>/

/** `completion`, whose scripts ask the hidden `complete` for the words that fit. */
export function addCompletion(program: Command, context: () => CommandContext): void {
  program
    .command('completion')
    .description('print a script that completes commands, options, batches and checkpoints')
    .addArgument(new Argument('<shell>', 'of your terminal').choices([...SHELLS]))
    .addHelpText(
      'after',
      '\nbash: source <(darkroom completion bash)\nzsh:  source <(darkroom completion zsh)\nfish: darkroom completion fish | source',
    )
    .action((shell: (typeof SHELLS)[number]) => console.log(SCRIPTS[shell]))
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: string[]) => {
      const found = await wordsFor(program, words.slice(0, -1), context).catch(() => [])
      const begun = words.at(-1) ?? ''
      console.log(found.filter((word) => word.startsWith(begun)).join('\n'))
    })
}

/** What may follow the words that are there. A farm that does not answer completes nothing. */
async function wordsFor(program: Command, words: readonly string[], context: () => CommandContext): Promise<string[]> {
  let command = program
  let argumentsGiven = 0
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word)
    if (next !== undefined) command = next
    else if (!word.startsWith('-')) argumentsGiven++
  }
  const before = words.at(-1) ?? ''
  if (['-c', '--checkpoint'].includes(before))
    return (await context().gateway.checkpoints()).flatMap(({ name, tags }) => (tags.includes('latest') ? name : []))
  const options = command.options.flatMap(({ long }) => long ?? [])
  const subcommands = command.commands.flatMap((one) => (hidden(one) ? [] : one.name()))
  const first = command.registeredArguments[0]
  const choices = argumentsGiven === 0 ? (first?.argChoices ?? []) : []
  const takesBatch = argumentsGiven === 0 && OF_A_BATCH.test(`<${first?.name() ?? ''}>`)
  const batches = takesBatch ? (await context().gateway.batches(LISTED)).map(({ id }) => id) : []
  return [...subcommands, ...choices, ...batches, ...options]
}

function hidden(command: Command): boolean {
  return (command as unknown as { _hidden: boolean })._hidden
}

const SCRIPTS = {
  bash: `_darkroom() {
  local IFS=$'\\n'
  COMPREPLY=($(darkroom complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _darkroom darkroom`,
  zsh: `_darkroom() {
  local -a found
  found=("\${(@f)$(darkroom complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _darkroom darkroom`,
  fish: `function __darkroom_complete
  set -l words (commandline -opc) (commandline -ct)
  darkroom complete -- $words[2..-1] 2>/dev/null
end
complete -c darkroom -a '(__darkroom_complete)'`,
} as const
