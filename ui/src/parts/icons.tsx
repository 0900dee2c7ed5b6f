import type { ReactNode } from 'react'

const Icon = ({ children }: { children: ReactNode }) => (
  <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">{children}</svg>
)

export const Brand = () => (
  <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" strokeLinecap="round" aria-hidden="true">
    <path d="M2.5 12 8 3.5l5.5 8.5" /><circle cx="8" cy="11" r="1.8" fill="currentColor" stroke="none" />
  </svg>
)
export const FleetIcon = () => <Icon><path d="M2.5 2.5h4v4h-4zM9.5 2.5h4v4h-4zM2.5 9.5h4v4h-4zM9.5 9.5h4v4h-4z" /></Icon>
export const RunsIcon = () => <Icon><path d="M2 3.5h6M4.5 8h7M8 12.5h6" strokeWidth="2.2" /></Icon>
export const EventsIcon = () => <Icon><path d="M2.5 4h11M2.5 8h11M2.5 12h7" /></Icon>
export const CapacityIcon = () => <Icon><path d="M2 11.5a6 6 0 0 1 12 0M8 11.5l3-4.5" /><circle cx="8" cy="11.5" r=".8" fill="currentColor" /></Icon>
export const SetupIcon = () => <Icon><path d="M6 2.5v3.5M10 2.5v3.5M4 6h8v2.5a4 4 0 0 1-8 0zM8 12.5v2" /></Icon>
export const SettingsIcon = () => <Icon><path d="M2 4.5h6.5M11.5 4.5H14M2 11.5h2.5M7.5 11.5H14" /><circle cx="10" cy="4.5" r="1.5" /><circle cx="6" cy="11.5" r="1.5" /></Icon>
export const SearchIcon = () => <Icon><circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3 3" /></Icon>
export const ClockIcon = () => <Icon><circle cx="8" cy="8" r="5.75" /><path d="M8 4.75V8l2.25 1.5" /></Icon>
