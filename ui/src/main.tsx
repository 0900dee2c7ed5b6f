import { createRoot } from 'react-dom/client'
import { App } from './app/App'
import { listenKeys } from './app/keys'
import { begin } from './store/app'
import { startClock } from './store/clock'
import { keepPrefs } from './store/prefs'
import './styles/tokens.css'
import './styles/base.css'
import './styles/frame.css'
import './styles/table.css'
import './styles/fleet.css'
import './styles/detail.css'
import './styles/capacity.css'

keepPrefs()
startClock()
listenKeys()
begin()

const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
