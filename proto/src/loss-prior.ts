/** What is believed of workers until some were lost: each is lost once in a day of work. */
export const PRIOR_SECONDS_BETWEEN_LOSSES = 24 * 3600
