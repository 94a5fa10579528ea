export { createGrpcClient } from './client.ts'
export { implement, startGrpcServer } from './server.ts'
export type { GrpcServer, ServiceRegistration } from './server.ts'
export type { CallContext, CallOptions, Client, ServiceImpl } from './service-types.ts'
