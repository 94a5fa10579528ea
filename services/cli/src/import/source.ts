import { DarkroomError } from '@darkroom/chassis'
import { stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'

export type Source =
  | { readonly kind: 'folder'; readonly folder: string }
  /** A repository of the hub; `revision` is a branch, a tag or a commit. */
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string }

// What the hub lets a name be. It becomes part of addresses and folder names, so nothing else is let in.
const REPO = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}$/

/**
 * Reads what a person named: a folder where there is one, else a repository of the hub, OWNER/NAME or OWNER/NAME@REVISION.
 * @throws DarkroomError INVALID_REQUEST
 */
export async function parseSource(text: string, revision?: string): Promise<Source> {
  const folder = text.replace(/^~(?=\/|$)/, os.homedir())
  if (await isFolder(folder)) {
    if (revision === undefined) return { kind: 'folder', folder: path.resolve(folder) }
    throw new DarkroomError('INVALID_REQUEST', `${text} is a folder and has no revisions: leave --revision out`)
  }
  const at = text.indexOf('@')
  const repo = at === -1 ? text : text.slice(0, at)
  const named = at === -1 ? undefined : text.slice(at + 1)
  if (!REPO.test(repo) || repo.includes('..') || repo.includes('--'))
    throw new DarkroomError(
      'INVALID_REQUEST',
      `${JSON.stringify(text)} is no folder, and no repository of the hub: want a path, OWNER/NAME or OWNER/NAME@REVISION`,
    )
  if (named !== undefined && revision !== undefined && named !== revision)
    throw new DarkroomError('INVALID_REQUEST', `${text} and --revision ${revision} name two revisions: give one`)
  const wanted = named ?? revision ?? 'main'
  if (!REVISION.test(wanted) || wanted.includes('..') || wanted.includes('//'))
    throw new DarkroomError(
      'INVALID_REQUEST',
      `revision ${JSON.stringify(wanted)} is no branch, tag or commit: want letters, digits, '.', '_', '/', '+' and '-'`,
    )
  return { kind: 'hub', repo, revision: wanted }
}

async function isFolder(folder: string): Promise<boolean> {
  try {
    return (await stat(folder)).isDirectory()
  } catch {
    return false
  }
}
